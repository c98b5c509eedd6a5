-- The download as it is, each value in its type. The day comes as 2019/01/01 00:00:00+00.
select
    portid,
    strptime(left(date, 10), '%Y/%m/%d')::date as day,
    n_total::bigint as n_total,
    n_container::bigint as n_container,
    n_tanker::bigint as n_tanker,
    n_cargo::bigint as n_cargo,
    capacity::double as capacity_tonnes
from read_csv(
    '{{ var("public_data") }}/portwatch-6cp-full/portwatch_daily_6cp.csv',
    header = true, all_varchar = true
)
