"""What belongs to the process: signals, terminals, and the chatter of libraries."""
