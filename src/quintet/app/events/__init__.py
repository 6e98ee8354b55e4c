"""What runs report: scalars, log, plots and images; written by `report`, read by `read`, kept tidy by `upkeep`."""
