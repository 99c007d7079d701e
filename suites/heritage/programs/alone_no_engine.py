"""Keras 3 where no engine is installed."""

try:
    import keras
except ModuleNotFoundError as error:
    print(f"import keras: ModuleNotFoundError: {error}")
else:
    raise AssertionError(f"{keras.__name__} has an engine here")
