"""SQL nodes: a script taken apart, and run statement by statement by a program of its own.

That program has the drivers of databases and nothing else of the product: no module here imports Django.
"""
