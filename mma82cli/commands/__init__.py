"""The subcommands: a file each, with its options, its loop over records, and the text of its page."""
