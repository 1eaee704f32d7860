"""What is asked of an engine, what it answers, and what PyTorch had answered."""
