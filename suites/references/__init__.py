"""What every public piece of the shim has to compute, written again from papers and Keras's documentation.

Plain NumPy that knows nothing of the shim: a mistake that all backends share is no mistake of theirs. Everything takes
complex numbers as well, so that gradients come by complex steps: exact, and from the forward formulas alone.
"""
