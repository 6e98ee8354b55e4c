"""What runs run on: hardware tiers and environments."""
