"""Indented with tabs here and spaces there, by two people with two editors, tab stops at eight."""

from guardian import GuardState


class UP(GuardState):
    index = 1

    def main(self):
	self.count = 0
        self.text = """tab:
	kept"""

    def run(self):
	self.count += 1
	if self.count < 3:
	    return False
        log(repr(self.text))
	return True


edges = [('INIT',
	  'UP')]
