"""Logged rounds, decided again and valued under other strategies."""
