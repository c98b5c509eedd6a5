-- One file a waterway; the name of the file is all that tells which.
with files as (
    select 'suez-canal' as waterway, *
    from read_csv(
        '{{ var("public_data") }}/adb-passageways/Suez_Canal_Daily_Transits_202103-202104_using_AIS.csv',
        header = true, all_varchar = true
    )
    union all
    select 'bab-el-mandeb' as waterway, *
    from read_csv(
        '{{ var("public_data") }}/adb-passageways/Bab_el-Mandeb_Strait_Daily_Transits_202311-202403_using_AIS.csv',
        header = true, all_varchar = true
    )
)

select
    waterway,
    arrival_date::date as arrival_date,
    transit_per_arrival_day::bigint as arrivals,
    complete_transit_per_arrival_day::bigint as complete_transits,
    complete_transit_dwell_time::double as dwell_hours,
    complete_transit_idle_time::double as idle_hours
from files
