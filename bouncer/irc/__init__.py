"""IRC itself, pure: lines, names, state and routing as plain data; opens no socket, knows no event loop."""
