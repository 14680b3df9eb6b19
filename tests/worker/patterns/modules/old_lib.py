def show(values):
    for value in values:
        print 'value %s' % value
