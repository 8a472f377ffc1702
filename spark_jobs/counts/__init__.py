"""What is counted of lines and records while they are prepared.

Counts can be added up in any order, so that they do not depend on how the work was divided.
"""
