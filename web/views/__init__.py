"""The handlers, a module per resource; each is thin: read the request, call the service, render or redirect."""
