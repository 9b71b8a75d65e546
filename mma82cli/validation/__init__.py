"""The faults of a stream of records: of one record by itself, and of records beside each other."""
