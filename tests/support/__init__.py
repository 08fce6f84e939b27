"""Worlds, movies and small models that several tests use."""
