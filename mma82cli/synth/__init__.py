"""The embedded data set: synthetic people who perform the 82 micro-actions in four domains."""
