# Takes the customers that changed on one day.
set -euo pipefail
customers=$((900 + ${bizdate} * 104729 % 300))
seq "$customers" | awk '{ printf "%d,customer-%05d\n", $1, $1 }' > customers.csv
sleep 0.6
echo "Customers changed on ${bizdate}: $(wc -l < customers.csv)"
echo "customers.csv written"
