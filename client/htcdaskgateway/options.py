"""The classes of cluster options, where the older clients have them: dask-gateway's own."""

from dask_gateway.options import Bool, Field, Float, Integer, Mapping, Number, Options, Select, String

__all__ = ["Bool", "Field", "Float", "Integer", "Mapping", "Number", "Options", "Select", "String"]
