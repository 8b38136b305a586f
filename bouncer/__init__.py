"""An always-on IRC bouncer: each user in a database file of their own."""
