"""One file a command. Each gives its name to a click command, and imports what it needs when it is called."""
