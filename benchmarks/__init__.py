"""Figures, half of them of a whole site: `make bench`. Never a test: nothing here passes or fails."""
