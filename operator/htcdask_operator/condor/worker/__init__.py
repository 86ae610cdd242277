"""What runs on the execute node: the wrapper, its preloads, and `bundle`, which makes one text of them."""
