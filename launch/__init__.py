"""The command line, and what to run where. Imports nothing heavy before a command needs it."""
