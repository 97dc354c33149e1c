"""The demo: two tenants, the workflow that one of them opens for the other, a pipeline with two
weeks of history, and a workflow that people run by hand.

Workflows, tasks and instances are made by the operations and the engine that everybody uses. Only the past is
written directly (``history``): nothing else can make a row of last week.
"""
