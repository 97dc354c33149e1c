# Writes one day's sales for the auditors.
set -euo pipefail
orders=$((3800 + ${bizdate} * 7919 % 1200))
seq "$orders" | awk '{ cents = ($1 * 37 + ${bizdate}) % 9000 + 100; printf "%d;%d.%02d;${currency}\n", $1, cents / 100, cents % 100 }' > sales.csv
sleep 0.4
echo "Sales of ${bizdate} in ${currency}: $(wc -l < sales.csv) lines"
