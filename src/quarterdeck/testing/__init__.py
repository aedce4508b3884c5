"""What an application tests its own parts of the launcher with."""
