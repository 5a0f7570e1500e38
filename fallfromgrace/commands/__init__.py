"""The subcommands of the command line, one module each; each returns an exit status."""
