"""The assets: raw bars, datasets, the indicator bank, generations, the front and the champion."""
