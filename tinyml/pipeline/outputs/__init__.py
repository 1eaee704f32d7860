"""What engines are given and return, and what PyTorch returned."""
