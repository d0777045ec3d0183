"""Champion on bars after everything its study saw: does it still behave as found?"""
