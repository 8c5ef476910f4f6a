"""Journeys that share one demo; being a package, they can end it after their last test."""
