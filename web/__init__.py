"""The web panel: server-rendered pages over the command layer; owns no data and no connection to IRC."""
