"""Keras 3 on its NumPy backend where no other engine is installed."""

try:
    import keras
except ModuleNotFoundError as error:
    print(f"import keras: ModuleNotFoundError: {error}")
else:
    raise AssertionError(f"{keras.__name__} needs no other package here")
