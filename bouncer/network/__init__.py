"""One server row, live: its connection, what it stores, and to whom it sends."""
