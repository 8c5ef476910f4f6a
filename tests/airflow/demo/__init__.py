"""Journeys that share one demo; the folder is a package, so a package fixture ends the demo after the last test."""
