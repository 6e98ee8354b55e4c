"""The few protocols that really have several implementations: engines, blobs, clock."""
