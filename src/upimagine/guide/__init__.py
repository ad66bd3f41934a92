"""Finding faces and drawing the raster that tells an upscaler what stands where.

``face`` says what a found face is, ``detector`` and ``mesh`` find it, ``points`` holds the 68-point scheme,
``raster`` paints it, ``faces`` puts them together as a :class:`upimagine.roles.Guide`.
"""
