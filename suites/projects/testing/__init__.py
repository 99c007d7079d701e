"""Small repositories of made-up users, for the tests of the gate."""
