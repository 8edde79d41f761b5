"""The nested columns of some trials of a large study: read from where these trials lie, and nowhere else.

What this does *not* do: choose the trials (`analysis.page.sections.earliest` does, of a report's).
"""

from pathlib import Path

import pandas as pd


def read_nested(folder: Path, columns: list[str], trial_ids: set[str]) -> pd.DataFrame:
    """Return `trial_id` and these columns of some trials. Row groups of the parts that hold none of them are not read.

    Trials that lie in no part yet, in the journal of a run that goes on, are left out.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted, tables = pa.array(sorted(trial_ids), pa.string()), []
    for path in sorted(folder.glob("trials/part-*.parquet")):
        with pq.ParquetFile(path, memory_map=True) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                mask = pc.is_in(file.read_row_group(group, columns=["trial_id"]).column(0), value_set=wanted)
                if pc.any(mask).as_py():
                    tables.append(file.read_row_group(group, columns=["trial_id", *present]).filter(mask))
    if not tables:
        return pd.DataFrame({"trial_id": []}).assign(**dict.fromkeys(columns))
    found = pa.concat_tables(tables, promote_options="default").to_pandas()
    return found.drop_duplicates("trial_id", keep="last").reindex(columns=["trial_id", *columns])
