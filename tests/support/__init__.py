"""What the tests share: a cloud to talk to, checks that hold in every world."""
