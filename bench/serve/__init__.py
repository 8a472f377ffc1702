"""A server under load: throughput, latency and memory with many clients, clients that leave, and a stop.

Hostile requests belong to the tests.
"""
