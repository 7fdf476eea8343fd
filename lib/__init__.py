"""Mechanisms of the lab: tasks, teachers, sampling, scoring, losses, training, statistics.

Nothing in here is an experiment; experiments are the notebooks. Import what you need from the module that names it.
"""
