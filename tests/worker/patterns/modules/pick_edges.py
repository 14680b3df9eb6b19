edges = [('INIT', 'SAFE')]
