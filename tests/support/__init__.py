"""What tests share: databases and factories."""
