"""Manual pages and completions, made from the command table, the commands' own options and `share/doc/mma82`.

`python -m mma82cli.manual` rewrites all of them in a checkout.
"""
