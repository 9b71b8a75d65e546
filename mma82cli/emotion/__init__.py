"""Which micro-actions go with which emotions (Section V, Appendix C): TF-IDF, one-against-neutral trees, ratios."""
